"""The work of the race in numbers: LeNet-5's training as the paper has it."""

BATCH = 64
WIDE_BATCH = 256
RATE, GAMMA, POWER = 0.01, 1e-4, 0.75
SECOND_PHASE_RATE = 0.1 * RATE
MOMENTUM, DECAY = 0.9, 5e-4

STEP_FLOP = BATCH * 2 * (3 * (288_000 + 1_600_000 + 400_000 + 5_000) - 288_000)
"""Products of a step: forward, backward to the weights, and backward to every layer's input but
the images. 844 MFLOP."""

STEPS = 10_000
"""Iterations of a training, and of a second phase."""

NETWORKS = 5
"""Of a case, as the paper counts them: plain, oversampled, undersampled, and two-phase after each
of the last two."""

SECOND_PHASES = 2
SHARED_TRAININGS = 3
"""Of a case's networks, those that are left when a second phase starts where another ended."""

CASES = 4_500
"""Of the whole MNIST study: 4,050 of step and 450 of linear imbalance."""

TEST_IMAGES, CASE_IMAGES = 10_000, 25_500
"""Images evaluated for a network: the test set, and its case's own, on average over the cases."""

PASS = 128
"""Images that the harness evaluates at once."""

SIDE = 1024
"""Of the matrices whose product measures the machine."""
