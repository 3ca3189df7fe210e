"""The web sites that the chat is embedded in: who may embed it, how it looks there, and who vouches for visitors."""
