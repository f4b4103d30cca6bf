"""Writes a checkpoint of Maya1's exact shape and files with random weights, for measuring speed and memory."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from snac import SNAC
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from maya_batch.bench.workload import SENTENCES, VOICE
from maya_batch.checkpoint.token_layout import FRAME_ORDER, SLOTS, TokenLayout

#: The published configuration of maya-research/maya1: Llama-3.2-3B with Orpheus' vocabulary.
SHAPE = {
    "vocab_size": 156_940,
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 8192,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}

#: The published configuration of hubertsiuzdak/snac_24khz.
CODEC = {
    "sampling_rate": 24000,
    "encoder_dim": 48,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}


def save_random_maya(folder: Path, device: str, layers: int | None = None) -> Path:
    """Write model and tokenizer. Random weights never end a text, so `drawn_lengths` ends their sequences.

    Fewer `layers` than Maya1's make a smaller model, for tests.
    """
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(
            LlamaConfig(**SHAPE | ({"num_hidden_layers": layers} if layers else {})), dtype=torch.bfloat16
        )
    model.save_pretrained(folder, max_shard_size="5GB")
    # Maya1's repository has its tokenizer in this folder.
    _tokenizer().save_pretrained(folder / "tokenizer")
    layout = asdict(TokenLayout()) | {"tokens_per_frame": SLOTS, "frame_order": FRAME_ORDER}
    (folder / "maya_tokens.json").write_text(json.dumps(layout), encoding="utf-8")
    return folder


def save_random_codec(folder: Path) -> Path:
    """Write a codec of snac_24khz's shape with random weights, whose sound has a mean of 0."""
    torch.manual_seed(0)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CODEC), encoding="utf-8")
    weights = SNAC(**CODEC).state_dict()
    last = [name for name in weights if name.startswith("decoder.") and name.endswith("weight.original1")][-1]
    weights[last] -= weights[last].mean(dim=-1, keepdim=True)
    weights[last.replace("parametrizations.weight.original1", "bias")].zero_()
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with pieces of up to five letters: 1.3 tokens a word, as Llama's has for English."""
    cut = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split(Regex(".{1,5}"), behavior="isolated")]
    )
    text = " ".join((f'<description="{VOICE}">', *SENTENCES))
    pieces = sorted({piece for piece, _ in cut.pre_tokenize_str(text)})
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(["[UNK]", *pieces])}, "[UNK]"))
    tokenizer.pre_tokenizer = cut
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
