def main():
    import numpy; print('perceptron', numpy.__version__)
