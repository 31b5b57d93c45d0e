"""The competition on Zindi whose data maskspot was made for."""

BASE_URL = "https://api.zindi.world/v1"
"""Address of the API; https://api.zindi.africa/v1 is its former address."""

COMPETITION = "spot-the-mask-challenge"
"""The default competition."""

COMPETITIONS = (
    COMPETITION,
    "spot-the-mask",
    "spot-the-mask-challenge-cmu-edition",
    "zindiweekendz-learning-spot-the-mask-challenge",
)
"""Competitions that have the same data."""

SHA256 = {
    "train_labels.csv": "8463771f49e51c756653d7398a4e35c1c028f720a3477f70cbc5ebe768b7b578",
    "sample_sub_v2.csv": "b5f7b018d0d318e0b1b22ed8e0da9a3c52031fba229a5a6d1e6966070a21a6e4",
}
"""Known hashes of the files of `COMPETITION`."""
