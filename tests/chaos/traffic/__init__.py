"""What the load does besides ordering: it polls, cancels, pauses, resumes, redelivers, replays.

``client`` asks the API; ``follow`` polls every order to its end; ``operations`` does the rest, and
makes finished orders older than retention; ``deaths`` notes which processes were killed;
``accounts`` makes the second caller and the operator.
"""
