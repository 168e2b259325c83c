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
        v = _Voxels(logits, target.to(logits.dtype), mask, spacing, self.progress, self.SOFTMAX)
        value = self._formula(v)
        if not torch.is_tensor(value):
            value = logits.new_tensor(value)
        return value.reshape(value.shape or (1, 1, 1)).expand(v.samples, v.classes, 1).squeeze(2)

    def _targets(self, logits, target, mask):
        """One target per class from a label map [N, 1, ...] or [N, ...], in which 0 is the background.

        One channel more than there are logits marks voxels that do not count, as in the region targets of nnU-Net.
        """
        if target.dim() == logits.dim() - 1:
            target = target.unsqueeze(1)
        if self.ignore_index is not None and target.shape[1] == logits.shape[1] + 1:
            counts, target = target[:, -1:] == 0, target[:, :-1]
            mask = counts if mask is None else mask.bool() & counts
        if target.shape[2:] != logits.shape[2:] or target.shape[1] not in (1, logits.shape[1]):
            raise ValueError(f"target of shape {tuple(target.shape)} does not fit logits of shape {tuple(logits.shape)}")
        if self.ignore_index is not None and target.shape[1] == 1:
            counts = target != self.ignore_index
            mask = counts if mask is None else mask.bool() & counts
            target = torch.where(counts, target, torch.zeros_like(target))
        if target.shape[1] != logits.shape[1]:
            first = 0 if self.SOFTMAX else 1
            labels = torch.arange(first, first + logits.shape[1], device=target.device)
            target = target == labels.reshape(1, -1, *[1] * (target.dim() - 2))
        return target, None if mask is None else mask.bool()
