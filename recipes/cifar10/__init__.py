"""Recipe: six networks for CIFAR-10, from tens of kFLOP to a residual network, as a zoo for premodel."""
