TINY = 1e-12  # smallest denominator


def _at_least(x, bound):
    return x.clamp_min(bound) if torch.is_tensor(x) else max(x, bound)


def _log(x):
    return x.log() if torch.is_tensor(x) else math.log(x)


def _log_abs(x):
    return _log(_at_least(abs(x), 1e-7))


def _log1p(x):
    x = _at_least(x, 0.0)
    return x.log1p() if torch.is_tensor(x) else math.log1p(x)


def _larger(a, b):
    if not torch.is_tensor(a) and not torch.is_tensor(b):
        return max(a, b)
    return torch.where(a >= b, a, b)  # of equals the first has the gradient


def _divide(a, b):
    return a / _at_least(b, TINY)


def _power(base, exponent):
    return _at_least(base, 0.0 if exponent >= 1.0 else 1e-7) ** exponent


class _Ratio(torch.autograd.Function):
    """mistakes / (overlap + mistakes). Recorded step by step, its gradient would cancel where the overlap is small."""

    @staticmethod
    def forward(ctx, overlap, mistakes):
        ctx.save_for_backward(overlap, mistakes)
        return mistakes / (overlap + mistakes).clamp_min(TINY)

    @staticmethod
    def backward(ctx, gradient):
        overlap, mistakes = ctx.saved_tensors
        inside = overlap + mistakes > TINY
        whole = (overlap + mistakes).clamp_min(TINY)
        by_overlap = torch.where(inside, -mistakes / (whole * whole), torch.zeros_like(whole))
        by_mistakes = torch.where(inside, overlap / (whole * whole), 1.0 / whole)
        return gradient * by_overlap, gradient * by_mistakes


def _ratio(overlap, mistakes):
    if not torch.is_tensor(overlap) and not torch.is_tensor(mistakes):
        return mistakes / max(overlap + mistakes, TINY)
    like = overlap if torch.is_tensor(overlap) else mistakes
    tensor = lambda x: x if torch.is_tensor(x) else like.new_tensor(x)
    return _Ratio.apply(*torch.broadcast_tensors(tensor(overlap), tensor(mistakes)))


def _neg_log_ratio(overlap, mistakes):
    overlap, mistakes = _at_least(overlap, 0.0), _at_least(mistakes, 0.0)
    return _log((overlap + mistakes + TINY) / (overlap + TINY))


def _distance(inside, spacing):
    """Distance of every voxel to the nearest one inside, by minima along one axis after the other; None if there is none."""
    if not inside.any():
        return None
    squared = torch.where(inside, 0.0, float("inf")).to(torch.float64)
    for axis, step in enumerate(spacing):
        nearest = squared.clone()
        length = inside.shape[axis]
        for shift in range(1, length):
            cost = (shift * step) ** 2
            for start, end in ((shift, 0), (0, shift)):
                to, source = nearest.narrow(axis, start, length - shift), squared.narrow(axis, end, length - shift)
                to.copy_(torch.minimum(to, source + cost))
        squared = nearest
    return squared.sqrt()


def _rim(inside):
    """Voxels inside of which a neighbour across a face is outside, or outside of the image."""
    surrounded = inside.clone()
    for axis in range(inside.dim()):
        length = inside.shape[axis]
        for start, end in ((1, 0), (0, 1)):
            neighbour = torch.zeros_like(inside)
            neighbour.narrow(axis, start, length - 1).copy_(inside.narrow(axis, end, length - 1))
            surrounded &= neighbour
    return inside & ~surrounded


def _distance_map(inside, spacing, signed, in_mm):
    """Distance to the border of a mask; signed: negative inside, 0 at the rim. Zeros if there is no border."""
    outwards, inwards = _distance(inside, spacing), _distance(~inside, spacing)
    if outwards is None or inwards is None:
        return torch.zeros(inside.shape, dtype=torch.float64, device=inside.device)
    if not signed:
        return outwards + inwards
    depth = _distance(_rim(inside), spacing) if in_mm else (inwards - 1.0).clamp_min(0.0)
    return torch.where(inside, -depth, outwards)


def _others(z):
    """For every class log(sum exp z) over the others. 1 - p has its digits where p is small, so the largest goes apart."""
    total = z.logsumexp(1, keepdim=True)
    largest = z.argmax(1, keepdim=True)
    p = (z - total).exp().scatter(1, largest, 0.0)
    rest = z.scatter(1, largest, float("-inf")).logsumexp(1, keepdim=True)
    return (total + (-p).log1p()).scatter(1, largest, rest)


class _Voxels:
    """What is known of the voxels of a batch, [samples, classes, voxels]; values per sample and class have one voxel."""

    def __init__(self, logits, target, mask, spacing, progress, softmax):
        self.shape, self.spacing, self.progress, self.softmax = logits.shape, spacing, progress, softmax
        self.samples, self.classes = logits.shape[:2]
        z, self.y = logits.flatten(2), target.flatten(2)
        self.mask = None if mask is None else mask.flatten(2).expand(self.y.shape)
        if softmax:  # a softmax is a sigmoid of the logit against all others together
            z = z - _others(z)
        self.z, self.p, self.q = z, z.sigmoid(), (-z).sigmoid()

    @property
    def neg_log_p(self):
        return -functional.logsigmoid(self.z)

    @property
    def neg_log_q(self):
        return -functional.logsigmoid(-self.z)

    def distance(self, source, in_mm):
        """A distance map of the target or of the prediction; no gradient flows through it."""
        with torch.no_grad():
            inside = (self.p if source == "prediction" else self.y) > 0.5
            if self.mask is not None:
                inside = inside & self.mask
            inside = inside.reshape(self.shape)
            maps = []
            for sample in range(self.samples):
                spacing = [1.0] * (len(self.shape) - 2)
                if in_mm and self.spacing is not None:
                    spacing = [float(step) for step in self.spacing[sample]]
                of = lambda region: _distance_map(region, spacing, source == "signed_target", in_mm)
                maps.append(torch.stack([of(region) for region in inside[sample]]))
            return torch.stack(maps).flatten(2).to(self.p.dtype)

    def _sums(self, x):
        x = x.expand(self.y.shape)
        return (x if self.mask is None else torch.where(self.mask, x, torch.zeros_like(x))).sum(2, keepdim=True)

    def _counts(self):
        if self.mask is None:
            return torch.full_like(self.y[..., :1], self.y.shape[2])
        return self.mask.sum(2, keepdim=True).to(self.y.dtype)

    def mean(self, x):
        return self._sums(x) / self._counts().clamp_min(1.0)

    def sum(self, x):
        return self._sums(x)

    def mean_batch(self, x):
        return self._sums(x).sum(0, keepdim=True) / self._counts().sum(0, keepdim=True).clamp_min(1.0)

    def sum_batch(self, x):
        return self._sums(x).sum(0, keepdim=True)

    def mean_top(self, percent, x):
        x = x.expand(self.y.shape)
        x = x.flatten() if self.mask is None else x[self.mask]
        count = min(max(int(x.numel() * percent / 100.0 + 1e-9), 1), x.numel())
        return x.topk(count, sorted=False).values.mean() if count else x.sum()

    def _counted(self, background, x):
        x = x.expand(self.samples, self.classes, 1)
        return x[:, 1:] if self.softmax and background == 0.0 and self.classes > 1 else x

    def mean_classes(self, background, x):
        return self._counted(background, x).mean(1, keepdim=True)

    def sum_classes(self, background, x):
        return self._counted(background, x).sum(1, keepdim=True)

    def is_class(self, number):
        return (torch.arange(self.classes, device=self.y.device) == number).to(self.y.dtype).reshape(1, -1, 1)

    def volume_weight(self):
        weight = 1.0 / self._sums(self.y) ** 2
        known = torch.where(weight.isfinite(), weight, torch.zeros_like(weight))
        largest = known.amax(1, keepdim=True)
        return torch.where(weight.isfinite(), weight, torch.where(largest > 0.0, largest, torch.ones_like(largest)))
