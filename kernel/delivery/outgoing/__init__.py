"""What a delivery becomes on its way out, where a receiver of its caller says how.

`request` matches the receiver, and renders what is sent; `headers` and `tokens` log in there;
`admission` says whether the receiver may be asked at this moment, `rate` counts over all
dispatchers. A delivery that no receiver matches needs none of these.
"""
