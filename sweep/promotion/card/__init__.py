"""The card of a model, written from evidence."""

from sweep.promotion.card._card import JSON, MARKDOWN, ModelCard, make_card
from sweep.promotion.card._stored import StoredCard, stored_card

__all__ = ["JSON", "MARKDOWN", "ModelCard", "StoredCard", "make_card", "stored_card"]
