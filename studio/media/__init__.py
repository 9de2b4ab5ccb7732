"""Media tools: functions over paths that look at, clean and make pictures, sound and clips.

`kinds` tells what a file really is; `images`, `sound` and `clips` check one kind each. `paper` finds what is drawn on a
photographed sheet, `palette` and `places` name its colours and parts. `film` makes the moving picture: `stage` sets up
the drawing as `layers` with a `motion` each, `camera` looks around, `titles` and `melody` frame it. Under all that,
`ffmpeg` runs FFmpeg.
"""
