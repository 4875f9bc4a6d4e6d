# Idle and healthy.
ready
