"""Is the winner real: the hold-out, the gate, the champion."""
