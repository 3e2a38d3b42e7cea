import cvae_export


def test_the_public_names_are_these() -> None:
    assert sorted(cvae_export.__all__) == [
        "Decoder",
        "DecoderError",
        "ExportError",
        "FORMS",
        "FormWarning",
        "ImpossibleFormError",
        "ParityError",
        "UnsupportedPrimitiveError",
        "build_decoder",
        "export",
        "export_run",
        "publish",
    ]
    assert all(hasattr(cvae_export, name) for name in cvae_export.__all__)
    assert not hasattr(cvae_export, "nonsense")
