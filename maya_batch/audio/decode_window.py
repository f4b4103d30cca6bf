"""The window of a clip that is decoded at a time: SNAC's decoder takes much memory for each sample."""

import torch

#: The most bytes that SNAC's decoder holds for a sample: 1,320 to 1,360 were measured.
BYTES_A_SAMPLE = 1400

#: Bytes that the whole clip holds for a sample meanwhile, by count: hidden states, noise, and the samples twice.
CLIP_BYTES_A_SAMPLE = 28

#: Frames on either side of a window that are decoded with it and discarded, because its samples depend on them. In
#: Maya1's codec they depend on 9.9 steps of the decoder, which has four to a frame; a codec that needs more is refused.
CONTEXT = 3

#: The share of GPU memory that a window may take, with its context: on 8 GiB 192 frames, 16 seconds.
_SHARE = 1 / 16

#: The most frames of a window on a GPU, with its context. Few clips are longer.
_MOST_ON_GPU = 256

#: Frames by which the lengths of a GPU's CUDA graphs differ.
STEP = 32

#: Frames of a window on a CPU; they take 0.7 GB.
_ON_CPU = 256


def window_frames(device: torch.device, frame_samples: int) -> int:
    """The most frames of a clip that are decoded together, without their context."""
    if device.type != "cuda":
        return _ON_CPU
    memory = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.get_per_process_memory_fraction(device) * memory
    most = min(int(allowed * _SHARE / (frame_samples * BYTES_A_SAMPLE)), _MOST_ON_GPU)
    return max(most // STEP, 1) * STEP - 2 * CONTEXT


def decode_bytes(frames: int, device: torch.device, frame_samples: int) -> int:
    """The bytes of a GPU's memory that decoding clips of up to `frames` frames takes."""
    window = min(-(-frames // STEP) * STEP, window_frames(device, frame_samples) + 2 * CONTEXT)
    return (window * BYTES_A_SAMPLE + frames * CLIP_BYTES_A_SAMPLE) * frame_samples
