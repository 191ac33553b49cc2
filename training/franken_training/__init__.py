"""Distillation of students: fewer layers, or a LoRA adapter, taught by the base checkpoint itself."""
