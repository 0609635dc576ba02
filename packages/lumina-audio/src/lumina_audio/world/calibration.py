def calibrate(*a, **k):
    raise NotImplementedError
