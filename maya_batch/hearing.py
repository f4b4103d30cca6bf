def default_recognizer(l):
    return "small.en"


def recognizer_installed():
    return False


def recognizer_ready(n):
    return False


def load_recognizer(*a):
    raise ValueError


def listen(*a):
    raise ValueError


class Recognizer: ...
