"""Forward KL from teacher to students, with the gradient by the states and no stored logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor


def divergence(student: Tensor, teacher: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Sum of KL(teacher || student) over rows of logits, and its gradient times `scale`.

    The gradient by the student's logits is softmax(student) - softmax(teacher).
    """
    log_s = student.float().log_softmax(-1)
    log_t = teacher.float().log_softmax(-1)
    p_t = log_t.exp()
    return (p_t * (log_t - log_s)).sum(), ((log_s.exp() - p_t) * scale).to(student.dtype)


class Distance:
    """Mean forward KL of several students' states against one teacher's, in chunks of tokens.

    The head is shared and frozen. Full logits of a batch never exist: a chunk of 16,384 tokens
    holds 16,384 x vocabulary of the teacher and of one student at a time.
    """

    def __init__(self, head: Tensor, compiled: bool, chunk: int = 16384) -> None:
        self.head = head
        self.chunk = chunk
        self.divergence = torch.compile(divergence, dynamic=False) if compiled else divergence

    @torch.no_grad()
    def __call__(self, students: Sequence[Tensor], teacher: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses [students] in nats a token, and each student's gradient [tokens, hidden]."""
        losses = torch.zeros(len(students), device=teacher.device)
        gradients = [torch.empty_like(student) for student in students]
        scale = 1.0 / len(teacher)
        for at in range(0, len(teacher), self.chunk):
            part = slice(at, at + self.chunk)
            taught = teacher[part] @ self.head.T
            for index, student in enumerate(students):
                loss, gradient = self.divergence(student[part] @ self.head.T, taught, scale)
                losses[index] += loss * scale
                gradients[index][part] = gradient @ self.head
        return losses, gradients
