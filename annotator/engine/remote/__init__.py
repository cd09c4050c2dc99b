"""An engine on another computer, asked over HTTP. Nothing here imports torch."""
