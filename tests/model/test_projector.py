import torch

from tests.data import small


def test_four_neighbouring_patches_become_one_token_of_the_language_model():
    model = small.model()
    features = torch.randn(12, 32)
    out = model.projector(features)
    assert out.shape == (3, 64)
    for cell in range(3):
        alone = model.projector(features[4 * cell : 4 * cell + 4])
        assert torch.allclose(out[cell], alone[0], atol=1e-6)


def test_it_is_norm_concatenation_and_two_layers():
    projector = small.model().projector
    features = torch.randn(4, 32)
    scale = (features.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    merged = (features * scale * projector.norm.weight).reshape(1, 128)
    hidden = merged @ projector.up.weight.T + projector.up.bias
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / 2**0.5))
    expected = hidden @ projector.down.weight.T + projector.down.bias
    assert torch.allclose(projector(features), expected, atol=1e-5)
