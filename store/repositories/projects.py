"""Projects, and what they use."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.errors import NotFound, QuotaExceeded
from store.ids import new_id
from store.models import Blob, Checkpoint, Dataset, DatasetFile, Job, Model, Project


class ProjectRepository:
    """Projects are few: whoever runs the server makes them with their keys."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def create(self, name: str) -> Project:
        """A new project."""
        project = Project(id=new_id("project"), name=name)
        self.session.add(project)
        self.session.flush()
        return project

    def named(self, name: str) -> Project | None:
        """The project of that name."""
        return self.session.scalar(select(Project).where(Project.name == name))

    def list(self) -> list[Project]:
        """All projects, oldest first."""
        return list(self.session.scalars(select(Project).order_by(Project.id)))

    def lock(self, project_id: str) -> None:
        """Hold the project's row until the commit, so that what is counted now stays true. Raises NotFound."""
        statement = select(Project.id).where(Project.id == project_id).with_for_update(key_share=True)
        if self.session.scalar(statement) is None:
            raise NotFound("project", project_id)

    def stored_bytes(self, project_id: str) -> int:
        """Bytes of the project's uploads, columns, checkpoints and models; a file stored once counts for each use."""
        alive = (Dataset.project_id == project_id) & Dataset.deleted_at.is_(None)
        uploads = select(func.coalesce(func.sum(Dataset.size_bytes), 0)).where(alive)
        columns = select(func.coalesce(func.sum(DatasetFile.size_bytes), 0)).join(Dataset).where(alive)
        checkpoints = (
            select(func.coalesce(func.sum(Checkpoint.size_bytes + Checkpoint.state_bytes), 0))
            .join(Job, Job.id == Checkpoint.job_id)
            .where(Job.project_id == project_id)
        )
        models = (
            select(func.coalesce(func.sum(Blob.size_bytes), 0))
            .join(Model, Model.weights_blob == Blob.id)
            .where(Model.project_id == project_id)
        )
        return sum(int(self.session.scalar(each) or 0) for each in (uploads, columns, checkpoints, models))

    def check_bytes(self, project_id: str, more: int, limit: int) -> None:
        """Raises QuotaExceeded if `more` bytes would pass `limit`."""
        if self.stored_bytes(project_id) + more > limit:
            raise QuotaExceeded("stored bytes", limit)
