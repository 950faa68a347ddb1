"""The journey simulator: shops and newspapers of any size whose truth is known, as data or as a world that reacts."""
