"""Types a PIN at a terminal of its own, as somebody does who is fast, and tells
what the terminal showed. Its one argument is the program."""

import fcntl
import os
import select
import subprocess
import sys
import termios
import time

PATIENCE = 30


def shows(terminal):
    return termios.tcgetattr(terminal)[3] & termios.ECHO != 0


def asked(program):
    """The program, with nothing of its prompt shown yet and what is typed hidden."""
    master, slave = os.openpty()
    # Whatever it writes waits: nobody can have seen the prompt.
    termios.tcflow(slave, termios.TCOOFF)
    process = subprocess.Popen(
        [program, "crypto", "hsm", "auth", "update", "--slot", "0"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    end = time.monotonic() + PATIENCE
    while shows(slave):
        if time.monotonic() > end:
            process.kill()
            sys.exit("what is typed was shown while the prompt was on its way")
        time.sleep(0.01)
    termios.tcflow(slave, termios.TCOON)
    shown = b""
    while b"PIN: " not in shown:
        shown += some(master)
    return process, master, slave, shown


def some(master):
    ready, _, _ = select.select([master], [], [], PATIENCE)
    if not ready:
        sys.exit("nothing was shown")
    return os.read(master, 4096)


def types(program, keys):
    process, master, slave, shown = asked(program)
    os.write(master, keys)
    code = process.wait(PATIENCE)
    while select.select([master], [], [], 0)[0]:
        shown += os.read(master, 4096)
    if not shows(slave):
        sys.exit("the terminal was left silent")
    return code, shown.decode()


program = sys.argv[1]
code, shown = types(program, b"%&~%\x7f^=\r")
assert "%&" not in shown and "^=" not in shown, shown
assert code == 2 and "no PIN was given" not in shown, (code, shown)
# All of it is taken back.
code, shown = types(program, b"%&\x7f\x7f\r")
assert code == 2 and "no PIN was given" in shown, (code, shown)
# Ctrl-C.
code, shown = types(program, b"%&~\x03")
assert "%&" not in shown and "cancelled" in shown, shown
assert code == 1, code
