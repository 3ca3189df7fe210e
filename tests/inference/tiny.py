"""A tiny real model, made on the spot: random weights of the Llama architecture and a trained byte-level BPE tokenizer.

It speaks nonsense, half characters included, but it is loaded, batched, cached and sampled like any other. The model
is fake so that the engines need not be.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chatbot.inference.weights import prepare_generator

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# OpenVINO's paged attention wants heads of at least 32 values.
_WIDTH, _LAYERS, _HEADS, _KV_HEADS, _HEAD_DIM, _INNER, _CONTEXT = 128, 2, 4, 2, 32, 256, 4096
_CORPUS = (
    "How can I cancel my order? You can cancel an order within thirty minutes. Open My orders and press Cancel.",
    "Wo ist mein Paket? Die Lieferung dauert zwei bis vier Werktage. Où est ma commande ? ¿Dónde está mi pedido?",
    "The refund goes back to the payment method you used. Gift cards are valid for three years.",
)


def write_tokenizer(folder: Path) -> int:
    """Write tokenizer.json and tokenizer_config.json; returns the size of the vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "bos_token": "<|im_start|>", "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    size: int = tokenizer.get_vocab_size()
    return size


def write_source(folder: Path, *, seed: int = 7) -> Path:
    """A model folder as one would download it: configuration, tokenizer and safetensors, no manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        # Untied: with tied random weights the likeliest next token is the last one, for ever.
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float = 0.08) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    ones = np.ones(_WIDTH, dtype=np.float32)
    tensors = {
        "model.embed_tokens.weight": matrix(vocabulary, _WIDTH, 1.0),
        "model.norm.weight": ones,
        "lm_head.weight": matrix(vocabulary, _WIDTH, 0.5),
    }
    # The end token would otherwise come up by chance and make replies of unknown length.
    tensors["lm_head.weight"][2] = 0.0
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}"
        tensors |= {
            f"{prefix}.input_layernorm.weight": ones.copy(),
            f"{prefix}.post_attention_layernorm.weight": ones.copy(),
            f"{prefix}.self_attn.q_proj.weight": matrix(_HEADS * _HEAD_DIM, _WIDTH),
            f"{prefix}.self_attn.k_proj.weight": matrix(_KV_HEADS * _HEAD_DIM, _WIDTH),
            f"{prefix}.self_attn.v_proj.weight": matrix(_KV_HEADS * _HEAD_DIM, _WIDTH),
            f"{prefix}.self_attn.o_proj.weight": matrix(_WIDTH, _HEADS * _HEAD_DIM),
            f"{prefix}.mlp.gate_proj.weight": matrix(_INNER, _WIDTH),
            f"{prefix}.mlp.up_proj.weight": matrix(_INNER, _WIDTH),
            f"{prefix}.mlp.down_proj.weight": matrix(_WIDTH, _INNER),
        }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_tiny_model(parent: Path, *, seed: int = 7) -> Path:
    """A prepared model folder (safetensors, GGUF, manifest) that either engine loads; takes well under a second."""
    return prepare_generator(write_source(parent / "tiny-source", seed=seed), parent / "tiny")
