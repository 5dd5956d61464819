"""What is frozen into an application: runs the program that the command line names, as python would."""

import runpy
import sys

sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
