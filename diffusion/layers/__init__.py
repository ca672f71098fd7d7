"""The networks: a UNet that predicts noise, a VAE between pictures and latents; their keys are a checkpoint's own."""
