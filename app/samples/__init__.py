"""The drawing and the story that `huaban demo` sends. `make_samples.py` made them; nothing needs it afterwards."""
