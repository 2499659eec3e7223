"""The help of commands with the options of a job: they are many, so they come in groups, by what they are about."""

from collections import defaultdict

import click

OURS = "Output here"  # what is no option of the job, but for how to reach the cluster
REACH = "The cluster"
# By what an option is about, which of them.
GROUPS: dict[str, tuple[str, ...]] = {
    "What runs": (
        *("file", "check", "name", "env", "cwd", "script", "interpreter", "script_file", "sandbox"),
        *("wait_children", "key"),
    ),
    "Many tasks": ("array", "each_line", "from_json", "from_csv", "no_header", "max_running", "max_fails"),
    "Files in and out": (
        *("upload", "upload_shared", "stdin", "no_stdin", "out", "to", "flat", "apart", "max_files", "max_results"),
    ),
    "Resources and place": (
        *("cpus", "mem", "gpus", "resource", "worker", "need", "prefer", "spread", "pack", "exclusive"),
    ),
    "Order": ("priority", "hold", "after", "after_any", "after_fail", "after_each", "on_dependency_fail"),
    "Time": (
        *("at", "delay", "every", "overlap", "catch_up", "timeout", "time_request", "queue_timeout"),
        *("quiet_timeout", "deadline", "grace"),
    ),
    "Failures": ("retries", "retry_on", "grow", "backoff", "lost_after", "check_output", "check_with"),
    "Output that is kept": ("merge_output", "max_output"),
    "When it ends": ("notify", "notify_cmd", "notify_on"),
    OURS: ("tag", "out_dir", "as_json", "quiet", "_click_default_help"),
    REACH: ("scheduler", "direct", "credentials"),
}
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def group_of(name: str) -> str:
    """Of an option, by the name of its parameter."""
    return _GROUP_OF[name]


class JobCommand(click.Command):
    """A command that makes jobs, and takes all their options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The groups in their order, and in each the options in the order of GROUPS."""
        found = defaultdict[str, dict[str, tuple[str, str]]](dict)
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                found[group_of(param.name or "")][param.name or ""] = record
        for group, names in GROUPS.items():
            if records := [found[group][name] for name in names if name in found[group]]:
                with formatter.section(group):
                    formatter.write_dl(records)
