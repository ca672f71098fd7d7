"""The networks: a UNet that predicts noise and a VAE between pictures and latents, with a checkpoint file's own keys."""
