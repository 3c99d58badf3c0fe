"""The command line: every command is a function of `orchestrator.commands`; here errors become exit codes.

Heavy modules are imported inside the commands that need them, so that `status` and `query` answer at once.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import typer
from typer.exceptions import TyperException

from orchestrator.commands import analysing, asking, sweeping, upkeep
from orchestrator.console import silence_stdout
from orchestrator.errors import BocbError, Exit, SpecError, StoreError
from search_spaces.errors import UserError

app = typer.Typer(
    name="bocb",
    help="Does this vision backbone depend on its optimizer? Sweeps on Ray, results in Parquet.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    *(sweeping.plan, sweeping.run, sweeping.submit, asking.status, sweeping.resume, sweeping.stop),
    *(asking.logs, asking.query, upkeep.compact, upkeep.verify),
    *(analysing.analyze, analysing.report, analysing.compare, sweeping.reproduce),
):
    app.command()(command)
app.command("import")(upkeep.import_results)
app.command("list")(asking.list_names)
app.command()(upkeep.doctor)


def main() -> None:
    """Runs the command line, and turns what was raised into one sentence and an exit code."""
    # So that a user's own `package.module:name` is found in the current folder. Last, so that it shadows nothing.
    sys.path.append(str(Path.cwd()))
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False)
    except BrokenPipeError:
        # Whoever read the answer has seen enough.
        silence_stdout()
        code = Exit.COMPLETE
    except SystemExit as ended:
        # Typer turns a broken pipe into exit 1 by itself; code of the user's own may end the process, too.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        silence_stdout()
        code = Exit.COMPLETE
    except TyperException as error:
        _fail(_usage_sentence(error), "usage", as_json=as_json)
        code = Exit.USAGE
    except (BocbError, UserError) as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), getattr(error, "kind", SpecError.kind), as_json=as_json)
        code = getattr(error, "exit_code", Exit.USAGE)
    except OSError as error:
        if debug:
            traceback.print_exc()
        _fail(f"the system refuses: {error}", StoreError.kind, as_json=as_json)
        code = Exit.STORE
    except KeyboardInterrupt:
        _fail("stopped by a signal; the same command continues the sweep", "signal", as_json=as_json)
        code = Exit.SIGNAL
    sys.exit(int(code or 0))


def _usage_sentence(error: TyperException) -> str:
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    command = f"{context.info_name} " if context is not None and context.parent is not None else ""
    return f"{said}; see `bocb {command}--help`" if said else f"see `bocb {command}--help`"


def _fail(sentence: str, kind: str, *, as_json: bool) -> None:
    text = json.dumps({"error": sentence, "kind": kind}) if as_json else f"bocb: {sentence}"
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
