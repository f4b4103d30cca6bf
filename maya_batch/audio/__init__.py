"""Sound after the codec: clips joined into a chapter, and the chapter written as files people can play."""
