"""What the tables of the BOCB paper (arXiv 2410.06373) call its backbones, and which of them its Table 1 has."""

from __future__ import annotations

from collections.abc import Mapping

SHORT_NAMES: Mapping[str, str] = {
    "AlexNet": "alexnet",
    "VGG-13": "vgg13_bn",
    "R-50": "resnet50",
    "R-101": "resnet101",
    "DN-121": "densenet121",
    "MobV2": "mobilenetv2",
    "Eff-B0": "efficientnet_b0",
    "RVGG-A1": "repvgg_a1",
    "DeiT-S": "deit_small",
    "MLP-S": "mixer_s16",
    "Swin-T": "swin_tiny",
    "CNX-T": "convnext_tiny",
    "CNXV2-T": "convnextv2_tiny",
    "Moga-S": "moganet_small",
    "URLK-T": "unireplknet_tiny",
    "TNX-T": "transnext_tiny",
    "IF-12": "identityformer_s12",
    "PFV2-12": "poolformerv2_s12",
    "CF-12": "convformer_s12",
    "AF-12": "attentionformer_s12",
    "CAF-12": "caformer_s12",
}
"""What the paper's tables call them."""

PAPER20: tuple[str, ...] = tuple(name for name in SHORT_NAMES.values() if name != "resnet101")
"""The rows of its Table 1; ResNet-101 is only in its figures."""
