    @property
    def progress(self):
        """Training progress from 0 (first step) to 1 (last step); set it before every step if the loss listens to it."""
        return self._progress

    @progress.setter
    def progress(self, value):
        self._progress = min(max(float(value), 0.0), 1.0)

    def _evaluate(self, logits, target, mask, spacing):
        """The loss of every sample and class, [samples, classes]."""
        if logits.dtype not in (torch.float32, torch.float64):
            logits = logits.float()  # 16 bits hold no sums over voxels
        target, mask = self._targets(logits, target, mask)
        if mask is not None:  # whatever stands there has no part in it, be it infinite
            logits = torch.where(mask, logits, torch.zeros_like(logits))
        v = _Voxels(logits, target.to(logits.dtype), mask, spacing, self.progress, self.SOFTMAX)
        return self.scale * self._formula(v).expand(v.samples, v.classes, 1).squeeze(2)

    def _targets(self, logits, target, mask):
        """One target per class, and which voxels count.

        A target with one channel (or none) of whole numbers, or for several channels of logits, is a label map in which 0 is
        the background. With `ignore_index` a last channel more marks voxels that do not count, as nnU-Net's regions have it.
        """
        classes = logits.shape[1]
        target, mask = (x.unsqueeze(1) if x is not None and x.dim() == logits.dim() - 1 else x for x in (target, mask))
        fits = lambda x, channels: x.dim() == logits.dim() and x.shape[1] in channels and x[:, :1].shape == logits[:, :1].shape
        marked = self.ignore_index is not None and classes + 1
        if not fits(target, (1, classes, marked)) or (mask is not None and not fits(mask, (1,))):
            shapes = [tuple(x.shape) for x in (target, mask, logits) if x is not None]
            raise ValueError(f"target (and mask) do not fit the logits: shapes {shapes}")
        mask = None if mask is None else mask.bool()
        if self.ignore_index is not None:
            if target.shape[1] == classes + 1:
                counts, target = target[:, -1:] == 0, target[:, :-1]
            elif target.shape[1] == 1:
                counts = target != self.ignore_index
                target = torch.where(counts, target, torch.zeros_like(target))
            else:
                raise ValueError("ignore_index needs a label map, or a last channel that marks what does not count")
            mask = counts if mask is None else mask & counts
        if target.shape[1] == 1 and (classes > 1 or not target.is_floating_point()):
            first = 0 if self.SOFTMAX else 1
            last = first + classes - 1
            if target.min() < 0 or target.max() > last:
                raise ValueError(f"labels {target.min().item()} to {target.max().item()} for classes up to {last}")
            labels = torch.arange(first, last + 1, device=target.device)
            target = target == labels.reshape(1, -1, *[1] * (target.dim() - 2))
        elif target.is_floating_point() and (target.min() < 0 or target.max() > 1):
            raise ValueError(f"target from {target.min().item()} to {target.max().item()} instead of 0 to 1")
        return target, mask
