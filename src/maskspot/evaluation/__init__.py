"""How good are the probabilities?"""
