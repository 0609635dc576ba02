"""Text to caption features, through any transformers decoder or encoder."""

from flagdit_core.text_encoder.config import TextEncodingConfig
from flagdit_core.text_encoder.encoder import TextEncoder, TextFeatures, TokenBatch
from flagdit_core.text_encoder.small import build_small_text_encoder

__all__ = ["TextEncoder", "TextEncodingConfig", "TextFeatures", "TokenBatch", "build_small_text_encoder"]
