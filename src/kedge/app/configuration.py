"""What is configured, and where each value came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kedge.app.project import Project
from kedge.config import list_settings
from kedge.core.settings import Setting
from kedge.core.spec import to_plain

__all__ = ["Configuration", "Setting", "show"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Every setting of a project. `file` is its project file."""

    file: str
    settings: tuple[Setting, ...]


def show(project: Project) -> Configuration:
    """Every value with its origin: the options that a stage leaves to its step's defaults too."""
    config = project.config
    settings = list_settings(config)
    given = {setting.key for setting in settings}
    for name, stage in config.stages.items():
        step = project.steps.get(stage.step)
        for key, value in to_plain(config.options(name, step.options)).items():
            if f"stages.{name}.{key}" not in given:
                settings.append(Setting(key=f"stages.{name}.{key}", value=value, origin="default"))
    groups = list(dict.fromkeys(map(_group, settings)))
    ordered = sorted(settings, key=lambda setting: groups.index(_group(setting)))
    return Configuration(file=str(config.file), settings=tuple(replace(s, value=to_plain(s.value)) for s in ordered))


def _group(setting: Setting) -> tuple[str, ...]:
    """What a setting stands under: its table. Groups keep the order of their first settings."""
    parts = setting.key.split(".")
    return tuple(parts[:2] if parts[0] in ("stages", "endpoints") else parts[:1])
