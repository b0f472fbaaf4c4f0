"""When a step is over: batches whose gradients only accumulate are no steps."""


class Interval:
    """Says after a batch whether it made a step, and whether that is one to log.

    Args:
        step: the optimizer updates done before.
    """

    def __init__(self, step: int = 0):
        self.step = step

    def passed(self, trainer) -> bool:
        """Whether the optimizer has stepped since the last call."""
        before, self.step = self.step, trainer.global_step
        return self.step != before

    @staticmethod
    def due(trainer) -> bool:
        """Whether the present step is a logging one; `log_every_n_steps=0` logs none."""
        every = trainer.log_every_n_steps
        return bool(every) and trainer.global_step % every == 0
