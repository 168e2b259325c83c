

def _self_test():
    """Value and gradient against those of lossgen's evaluator in double precision."""
    for dtype, of_value, of_gradient in ((torch.float64, 1e-7, 1e-7), (torch.float32, 1e-5, 1e-4)):
        tensor = lambda values: torch.tensor(values, dtype=dtype).reshape(TEST["shape"])
        logits = tensor(TEST["logits"]).requires_grad_()
        loss = {CLASS}(scale=1.0)
        loss.progress = TEST["progress"]
        found = loss(logits, tensor(TEST["target"]), spacing=TEST["spacing"])
        found.backward()
        value, gradient = TEST["value"], tensor(TEST["gradient"])
        off = abs(found.item() - value) / max(abs(value), 1e-2)
        slope_off = ((logits.grad - gradient).abs().max() / gradient.abs().max().clamp_min(1e-12)).item()
        assert off <= of_value, f"{dtype}: value {found.item()} instead of {value}"
        assert slope_off <= of_gradient, f"{dtype}: gradient off by {slope_off:.1e} of its maximum"
        print(f"{dtype}: value within {off:.1e}, gradient within {slope_off:.1e}")


if __name__ == "__main__":
    _self_test()
