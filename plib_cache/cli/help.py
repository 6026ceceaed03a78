# SPDX-License-Identifier: BSD-3-Clause
"""How ``--help`` reads: whole sentences, plain names, commands in an order that helps.

``NAME`` is what has to be given and ``[FILE]`` what may be, whatever the version of typer would
make of them.  A command is told in one line, which is the first of its docstring.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_LINE = 200  # more than any sentence has; that it fits a line, a test holds
Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command; what each of its arguments and options is called, is its metavar."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command in the line of its usage."""
        return ["[OPTIONS]", *(_name(one) for one in self._of("argument"))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, then the options."""
        arguments = [(_name(one), one.help) for one in self._of("argument")]
        options = [
            (one.get_help_record(ctx)[0], one.help + _default(one))
            for one in [*self._of("option"), self.get_help_option(ctx)]
        ]
        _write(formatter, {"Arguments": arguments, "Options": options})

    def get_short_help_str(self, limit: int = 0) -> str:
        """The first sentence, which is never cut: not in the list, and not by a shell either."""
        return super().get_short_help_str(_LINE)

    def _of(self, kind: str) -> list[Any]:
        return [one for one in self.params if one.param_type_name == kind]


def _name(argument: Any) -> str:
    name: str = argument.metavar
    return name if argument.required else f"[{name}]"


def _default(option: Any) -> str:
    told = option.show_default and not option.is_flag and option.default is not None
    default = option.default
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return f" [default: {text}]" if told else ""


def _write(formatter: Any, sections: dict[str, Rows]) -> None:
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


class Commands(TyperGroup):
    """All commands, in the order and under the headings (their panels) that they were given."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section for each heading; the texts stand below one another over all of them."""
        sections: dict[str, Rows] = {}
        wide = max(map(len, self.commands))
        for name, command in self.commands.items():
            told: Any = command
            row = (f"{name:{wide}}", told.get_short_help_str())
            sections.setdefault(told.rich_help_panel, []).append(row)
        _write(formatter, sections)
