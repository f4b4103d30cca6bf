"""The window of a clip that is decoded at a time: SNAC's decoder takes much memory for each sample."""

import torch

#: The most bytes that SNAC's decoder holds for a sample: 1,320 to 1,360 were measured.
BYTES_A_SAMPLE = 1400

#: Bytes that the whole clip holds for a sample meanwhile, by count: hidden states, noise, and the samples twice.
CLIP_BYTES_A_SAMPLE = 28

#: Frames on either side of a window that are decoded with it and discarded, because its samples depend on them. In
#: Maya1's codec they depend on 9.9 steps of the decoder, which has four to a frame; a codec that needs more is refused.
CONTEXT = 3

#: The share of GPU memory that a window may take: on 8 GiB 187 frames, 16 seconds; from 80 GiB on, any clip.
_SHARE = 1 / 16

#: Frames of a window on a CPU; they take 0.7 GB.
_ON_CPU = 256


def window_frames(device: torch.device, frame_samples: int) -> int:
    """The most frames of a clip that are decoded together, without their context."""
    if device.type != "cuda":
        return _ON_CPU
    memory = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.get_per_process_memory_fraction(device) * memory
    return max(int(allowed * _SHARE / (frame_samples * BYTES_A_SAMPLE)), 1)
