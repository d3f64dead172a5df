"""Raters' questions: what waits for an answer, and what an asker has not read yet."""

from __future__ import annotations

from django.db.models import F, QuerySet

from ..models import Project, Question


def questions_of(project: Project) -> QuerySet[Question]:
    """Every question of the project: waiting ones first, oldest on top; then answered ones, newest on top."""
    return (
        Question.objects.filter(batch_item__batch__project=project)
        .select_related("batch_item__item", "batch_item__batch__guideline_version", "by__user", "answered_by")
        .order_by(F("answered_at").desc(nulls_first=True), "at", "id")
    )


def waiting(project: Project) -> QuerySet[Question]:
    """The questions nobody has answered yet, oldest first."""
    return questions_of(project).filter(answered_at__isnull=True)


def neighbours(question: Question, project: Project) -> tuple[Question | None, Question | None]:
    """The waiting questions before and after this one, by age."""
    others = waiting(project).exclude(pk=question.pk)
    before = others.filter(pk__lt=question.pk).order_by("-pk").first()
    after = others.filter(pk__gt=question.pk).order_by("pk").first()
    return before, after
