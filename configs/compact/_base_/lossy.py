# What lossy files do to images: slight blur, noise, JPEG.
lossy = [
    dict(
        type='RandomBlur',
        params=dict(
            prob=0.1,
            kernel_size=[7],
            kernel_list=['iso'],
            kernel_prob=[1.0],
            sigma_x=[0.2, 0.5],
            sigma_y=[0.2, 0.5],
            rotate_angle=[0, 0],
        ),
        keys=['img'],
    ),
    dict(
        type='RandomNoise',
        params=dict(
            prob=0.1,
            noise_type=['gaussian'],
            noise_prob=[1.0],
            gaussian_sigma=[0.3, 2],
            gaussian_gray_noise_prob=0.5,
        ),
        keys=['img'],
    ),
    dict(type='JPEGPhotograph', quality=(30, 100), prob=0.75),
]
