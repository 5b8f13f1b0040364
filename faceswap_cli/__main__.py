"""``python -m faceswap_cli``, and what the command ``faceswap`` starts."""

import signal
import sys


def main() -> int:
    """Run one command; Ctrl-C gets its line from the first moment on, while modules are still loading."""
    try:
        from faceswap_cli.cli import main as run

        return run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("faceswap: error: stopped\n")
        return 130
    finally:
        # Nothing is left to save: a further one ends the interpreter's own clearing up without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
