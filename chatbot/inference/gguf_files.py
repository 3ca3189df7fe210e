"""GGUF files to and from the Hugging Face layout, for Llama and Qwen architectures, with numpy alone.

Reading dequantises a GGUF file into named arrays, a `config.json` and a `tokenizer.json`. Writing quantises the
matrices to Q8_0 and keeps the norms and biases in float32. Neither direction imports torch: that would cost
seconds, and transformers cannot save a model that it loaded from GGUF.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ModelFilesError

# config.json's model_type against GGUF's general.architecture; the engines read no others.
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_TENSORS_REVERSED = {theirs: ours for ours, theirs in _LAYER_TENSORS.items()}
_OUTER_TENSORS_REVERSED = {theirs: ours for ours, theirs in _OUTER_TENSORS.items()}

# Q8_0 packs 32 weights to a block; a row that is no multiple of it stays in float16.
_Q8_BLOCK = 32
_CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of <|im_end|> and its kind


class GGUFFile:
    """A GGUF file opened for reading."""

    def __init__(self, path: Path) -> None:
        """Raises ModelFilesError where the file is missing, cut short, or of an architecture that we do not read."""
        from gguf import GGUFReader

        self.path = path
        try:
            self._reader = GGUFReader(path)
        except FileNotFoundError:
            raise ModelFilesError("the file is missing", path=path) from None
        except (ValueError, IndexError, OSError) as error:
            raise ModelFilesError(f"not a readable GGUF file ({error})", path=path) from error
        self.architecture: str = self.metadata("general.architecture")
        if self.architecture not in ARCHITECTURES:
            raise ModelFilesError(
                f"architecture {self.architecture!r} is none of {', '.join(ARCHITECTURES)}", path=path
            )

    def metadata(self, key: str, default: Any = None) -> Any:
        """The value of a metadata key; keys starting with a dot belong to the architecture (`.block_count`)."""
        field = self._reader.fields.get(f"{self.architecture}{key}" if key.startswith(".") else key)
        return default if field is None else field.contents()

    def config(self) -> dict[str, Any]:
        """The `config.json` that transformers would need for these weights."""
        heads = int(self.metadata(".attention.head_count"))
        width = int(self.metadata(".embedding_length"))
        names = {tensor.name for tensor in self._reader.tensors}
        return {
            "architectures": [ARCHITECTURES[self.architecture]],
            "model_type": self.architecture,
            "vocab_size": len(self.metadata("tokenizer.ggml.tokens")),
            "hidden_size": width,
            "intermediate_size": int(self.metadata(".feed_forward_length")),
            "num_hidden_layers": int(self.metadata(".block_count")),
            "num_attention_heads": heads,
            "num_key_value_heads": int(self.metadata(".attention.head_count_kv", heads)),
            "head_dim": int(self.metadata(".attention.key_length", width // heads)),
            "hidden_act": "silu",
            "max_position_embeddings": int(self.metadata(".context_length")),
            "rms_norm_eps": float(self.metadata(".attention.layer_norm_rms_epsilon")),
            "rope_theta": float(self.metadata(".rope.freq_base", 10_000.0)),
            "attention_bias": "blk.0.attn_q.bias" in names,
            "mlp_bias": False,
            "tie_word_embeddings": "output.weight" not in names,
            "bos_token_id": self.metadata("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.metadata("tokenizer.ggml.eos_token_id"),
            "pad_token_id": self.metadata("tokenizer.ggml.padding_token_id"),
            # What to compute in. The tensors are stored smaller; CPUs are slow and coarse in half precision.
            "dtype": "float32",
        }

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Every weight under its Hugging Face name, dequantised to float32, q and k rows in Hugging Face order."""
        from gguf import dequantize

        heads = int(self.metadata(".attention.head_count"))
        kv_heads = int(self.metadata(".attention.head_count_kv", heads))
        for tensor in self._reader.tensors:
            name = _huggingface_name(tensor.name)
            if name is None:
                continue
            weights = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
            if self.architecture == "llama" and ".attn_q." in tensor.name:
                weights = _unpermute(weights, heads)
            elif self.architecture == "llama" and ".attn_k." in tensor.name:
                weights = _unpermute(weights, kv_heads)
            yield name, weights

    def tokenizer(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """`tokenizer.json` and `tokenizer_config.json` for a byte-level BPE vocabulary."""
        if self.metadata("tokenizer.ggml.model") != "gpt2":
            raise ModelFilesError("only byte-level BPE tokenizers can be read from GGUF", path=self.path)
        tokens: list[str] = self.metadata("tokenizer.ggml.tokens")
        types: list[int] = self.metadata("tokenizer.ggml.token_type")
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        tokenizer = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": index,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for index, (token, kind) in enumerate(zip(tokens, types, strict=True))
                if kind == _CONTROL_TOKEN
            ],
            "normalizer": None,
            # SmolLM was trained with every digit a token of its own, which GGUF only hints at ("smollm").
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
            }
            if self.metadata("tokenizer.ggml.pre") == "smollm"
            else byte_level,
            "post_processor": byte_level,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: index for index, token in enumerate(tokens)},
                "merges": [merge.split(" ", 1) for merge in self.metadata("tokenizer.ggml.merges")],
            },
        }
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": int(self.metadata(".context_length")),
            "chat_template": self.metadata("tokenizer.chat_template"),
        }
        for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
            index = self.metadata(f"tokenizer.ggml.{key}_token_id")
            if index is not None:
                config[f"{role}_token"] = tokens[index]
        return tokenizer, config

    def copy_metadata(self, writer: Any) -> None:
        """Add every metadata key of this file to a GGUFWriter, except those that describe its quantisation."""
        from gguf import GGUFValueType

        for key, field in self._reader.fields.items():
            if key.startswith("GGUF.") or key in {"general.architecture", "general.file_type"}:
                continue
            kind = field.types[0]
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), kind, sub_type=inner)


def write_gguf_q8(model_dir: Path, base_gguf: Path | None, out: Path) -> None:
    """Write the safetensors model in `model_dir` as a Q8_0 GGUF file.

    Metadata (tokenizer, template, hyper-parameters) is copied from `base_gguf`, which must have the same shape and
    vocabulary; without one it is made from `config.json` and `tokenizer.json`.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
    from gguf.quants import quantize

    config = json.loads((model_dir / "config.json").read_text())
    architecture = str(config["model_type"])
    if architecture not in ARCHITECTURES:
        raise ModelFilesError(
            f"architecture {architecture!r} is none of {', '.join(ARCHITECTURES)}", path=model_dir / "config.json"
        )
    writer = GGUFWriter(out, architecture)
    if base_gguf is not None:
        GGUFFile(base_gguf).copy_metadata(writer)
    else:
        _describe(writer, config, model_dir)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    for name, stored in read_safetensors(model_dir):
        gguf_name = _gguf_name(name)
        if gguf_name is None or (name == "lm_head.weight" and config.get("tie_word_embeddings")):
            continue
        weights = np.ascontiguousarray(stored, dtype=np.float32)
        if architecture == "llama" and ".attn_q." in gguf_name:
            weights = _permute(weights, heads)
        elif architecture == "llama" and ".attn_k." in gguf_name:
            weights = _permute(weights, kv_heads)
        if weights.ndim == 1:
            writer.add_tensor(gguf_name, weights)
        elif weights.shape[-1] % _Q8_BLOCK:
            writer.add_tensor(gguf_name, weights.astype(np.float16))
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name, quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_safetensors(model_dir: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every tensor of a folder's safetensors files, sharded or not. bfloat16 comes out as float32."""
    import safetensors

    deserialize: Any = safetensors.deserialize
    files = sorted(model_dir.glob("*.safetensors"))
    if not files:
        raise ModelFilesError("the file is missing", path=model_dir / "model.safetensors")
    for path in files:
        try:
            # One file at a time, so that memory holds one shard and not the model twice.
            entries = deserialize(path.read_bytes())
        except safetensors.SafetensorError as error:
            raise ModelFilesError(f"not a readable safetensors file ({error})", path=path) from error
        for name, entry in entries:
            yield name, _to_numpy(entry)


def _to_numpy(entry: Mapping[str, Any]) -> NDArray[Any]:
    data, shape, dtype = entry["data"], entry["shape"], entry["dtype"]
    if dtype == "BF16":
        # numpy has no bfloat16: it is the upper half of a float32.
        widened = np.frombuffer(data, dtype=np.uint16).astype(np.uint32) << 16
        return widened.view(np.float32).reshape(shape)
    return np.frombuffer(data, dtype={"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype]).reshape(shape)


def _huggingface_name(name: str) -> str | None:
    if name in _OUTER_TENSORS:
        return _OUTER_TENSORS[name]
    if not name.startswith("blk."):
        return None  # rope_freqs and the like are derived from the configuration
    _, layer, kind, suffix = name.split(".")
    return f"model.layers.{layer}.{_LAYER_TENSORS[kind]}.{suffix}"


def _gguf_name(name: str) -> str | None:
    if name in _OUTER_TENSORS_REVERSED:
        return _OUTER_TENSORS_REVERSED[name]
    if not name.startswith("model.layers."):
        return None
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    kind, _, suffix = rest.rpartition(".")
    return f"blk.{layer}.{_LAYER_TENSORS_REVERSED[kind]}.{suffix}"


def _permute(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Hugging Face's half-split rotary order to GGUF's interleaved one."""
    split = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weights.shape))


def _unpermute(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    split = weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weights.shape))


def _describe(writer: Any, config: Mapping[str, Any], model_dir: Path) -> None:
    """Metadata for a model that never was a GGUF file."""
    from gguf import TokenType

    heads = int(config["num_attention_heads"])
    rope = config.get("rope_parameters") or {}
    writer.add_name(model_dir.name)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_freq_base(float(config.get("rope_theta") or rope.get("rope_theta", 10_000.0)))
    head_dim = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_vocab_size(int(config["vocab_size"]))

    tokenizer = json.loads((model_dir / "tokenizer.json").read_text())
    settings = json.loads((model_dir / "tokenizer_config.json").read_text())
    if tokenizer["model"]["type"] != "BPE":
        raise ModelFilesError("only BPE tokenizers can be written to GGUF", path=model_dir / "tokenizer.json")
    tokens = [f"[PAD{index}]" for index in range(int(config["vocab_size"]))]
    kinds = [TokenType.UNUSED] * len(tokens)
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index], kinds[index] = token, TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if config["model_type"].startswith("qwen") else "default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    template = model_dir / "chat_template.jinja"
    writer.add_chat_template(template.read_text() if template.exists() else settings.get("chat_template") or "")
    eos = config["eos_token_id"]
    writer.add_eos_token_id(int(eos[0] if isinstance(eos, list) else eos))
    if config.get("bos_token_id") is not None:
        writer.add_bos_token_id(int(config["bos_token_id"]))
    writer.add_add_bos_token(False)
