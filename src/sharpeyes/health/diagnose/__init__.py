"""Picture diagnosis: is what a camera delivers usable, and if not, what is wrong and where.

picture    the picture as every check sees it (640x360 YUV)
keyframe   a keyframe's bytes -> a picture
features   what several checks share, computed once
reference  what is normal for a camera, per mode (day, ir, night)
checks/    one check a file; a check measures, a small model scores, the check explains
screen     is a keyframe plainly normal, or are the full checks needed?
diagnosis  the composed verdict
words      what it says, by language
still      a marked-up JPEG that shows what was seen and where
dataset    a whole set of samples -> predictions
made       faults on normal pictures, cameras of cameras (development only)
drawn      places drawn by code, in all weathers (development only)
train      a set of samples -> the model's file (development only)
"""
