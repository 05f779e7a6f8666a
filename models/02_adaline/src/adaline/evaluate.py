def main():
    import numpy; print('adaline', numpy.__version__)
