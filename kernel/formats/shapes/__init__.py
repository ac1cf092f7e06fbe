"""What a receiver's callbacks look like, and what its answers mean: data, carried out. Pure.

`shape` reads a shape from its JSON value, `template`, `filling` and `text_shaping` make its parts
from an outcome, `render` puts the request together, `answer` judges what came back.
"""
