"""A hundred short instructions of ours, text only and harmless, each with the rule that judges the answer.

They ask for what a small language model can just about do, so that losing skill shows. They were chosen by the
text-only model alone, before any model was aligned: of 115 drafts, 15 that it failed were dropped as too hard or too
long. None is taught to the model with eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.real_language.rules import (
    Rule,
    both,
    in_order,
    items,
    json_with,
    lacks,
    matches,
    no,
    number,
    says,
    sentences,
    words,
    yes,
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with the rule that judges its answer."""

    text: str
    """What the model is asked."""
    rule: Rule
    """Whether an answer does what was asked."""
    right: str
    """An answer that the rule accepts, for the tests."""
    wrong: str
    """An answer that the rule refuses, for the tests."""


FACTS: Final = (
    Instruction("What is the capital of France?", says("Paris"), "It is Paris.", "It is Lyon."),
    Instruction("What is the capital of Japan?", says("Tokyo"), "Tokyo", "Kyoto"),
    Instruction("What is the capital of Italy?", says("Rome"), "Rome.", "Milan."),
    Instruction("Name the capital city of Egypt.", says("Cairo"), "Cairo", "Luxor"),
    Instruction("Which planet is closest to the Sun?", says("Mercury"), "Mercury is.", "Venus is."),
    Instruction("What is the largest planet of the solar system?", says("Jupiter"), "Jupiter", "Saturn"),
    Instruction("Which planet is known as the Red Planet?", says("Mars"), "Mars", "Venus"),
    Instruction(
        "What is the largest ocean on Earth?", both(says("Pacific"), lacks("Atlantic")), "The Pacific.", "The Atlantic."
    ),
    Instruction("On which continent is Kenya?", says("Africa"), "Africa", "Asia"),
    Instruction("On which continent is Brazil?", says("South America"), "South America.", "Africa."),
    Instruction(
        "What gas do plants take in from the air?", says("carbon dioxide", "CO2"), "Carbon dioxide.", "Oxygen."
    ),
    Instruction("What is the chemical symbol of gold?", says("Au"), "Au", "Ag"),
    Instruction("Who wrote the play Romeo and Juliet?", says("Shakespeare"), "William Shakespeare.", "John Milton."),
    Instruction("Who painted the Mona Lisa?", says("Leonardo", "da Vinci"), "Leonardo da Vinci", "Raphael"),
    Instruction("What do bees make?", says("honey"), "They make honey.", "They make milk."),
    Instruction("What is frozen water called?", says("ice"), "Ice.", "Steam."),
    Instruction("Which season comes after winter?", both(says("spring"), lacks("autumn")), "Spring.", "Autumn."),
    Instruction("Which day comes after Monday?", says("Tuesday"), "Tuesday.", "Sunday."),
    Instruction("Which month comes after March?", says("April"), "April", "May"),
    Instruction("What is the first month of the year?", says("January"), "January.", "June."),
    Instruction("What is a baby dog called?", says("puppy", "pup"), "A puppy.", "A kitten."),
)

NUMBERS: Final = (
    Instruction("What is 2 + 3?", number(5, 2, 3), "2 + 3 = 5", "2 + 3 = 6"),
    Instruction("What is 7 + 8?", number(15, 7, 8), "15", "16"),
    Instruction("What is 10 - 4?", number(6, 10, 4), "The answer is 6.", "4"),
    Instruction("What is 20 - 5?", number(15, 20, 5), "15", "25"),
    Instruction("What is 3 times 4?", number(12, 3, 4), "12", "7"),
    Instruction("What is 6 times 5?", number(30, 6, 5), "30", "11"),
    Instruction("What is 12 divided by 3?", number(4, 12, 3), "four", "three"),
    Instruction("What is half of 10?", number(5, 10), "Five.", "Two."),
    Instruction("Double the number 8.", number(16, 8), "16", "64"),
    Instruction("How many days are in a week?", number(7), "Seven days.", "Five days."),
    Instruction("How many months are in a year?", number(12), "There are 12 months.", "There are 10 months."),
    Instruction("How many minutes are in an hour?", number(60), "60 minutes", "100 minutes"),
    Instruction("How many sides does a triangle have?", number(3), "A triangle has three sides.", "It has four sides."),
    Instruction("How many wheels does a bicycle have?", number(2), "Two wheels.", "Three wheels."),
    Instruction(
        "I have 3 apples and buy 2 more. How many apples do I have now?", number(5, 3, 2), "5 apples", "6 apples"
    ),
    Instruction("Which is larger, 9 or 4? Answer with the number only.", number(9, 4), "9", "4"),
)

YES_OR_NO: Final = (
    Instruction("Is the sky blue on a clear day? Answer yes or no.", yes(), "Yes.", "No."),
    Instruction("Is fire cold? Answer yes or no.", no(), "No.", "Yes."),
    Instruction("Can a fish swim? Answer yes or no.", yes(), "Yes", "No"),
    Instruction("Is a tomato an animal? Answer yes or no.", no(), "No, it is not.", "Yes, it is."),
    Instruction("Is Paris in France? Answer yes or no.", yes(), "Yes, it is.", "No, it is not."),
    Instruction("Is 10 smaller than 5? Answer yes or no.", no(), "No.", "Yes."),
    Instruction("Do cats have wings? Answer yes or no.", no(), "No, they do not.", "Yes, they do."),
    Instruction("Does a week have seven days? Answer yes or no.", yes(), "Yes, it does.", "No, it does not."),
)

LANGUAGE: Final = (
    Instruction("What is the opposite of hot?", says("cold"), "Cold.", "Warm."),
    Instruction("What is the opposite of big?", says("small", "little", "tiny"), "Small.", "Large."),
    Instruction("Give the opposite of the word up.", says("down"), "Down", "Above"),
    Instruction("What is the opposite of day?", says("night"), "Night.", "Morning."),
    Instruction("What is the antonym of happy?", says("sad", "unhappy", "sorrowful", "miserable"), "Sad.", "Glad."),
    Instruction("What is the plural of child?", says("children"), "Children.", "Childs."),
    Instruction("What is the plural of mouse?", says("mice"), "mice", "mouses"),
    Instruction("What is the past tense of go?", says("went"), "Went.", "Goed."),
    Instruction("What is the past tense of eat?", says("ate"), "Ate.", "Eated."),
    Instruction("Translate the word house into Spanish.", says("casa"), "Casa.", "Perro."),
    Instruction("Translate into French: thank you", says("merci"), "Merci.", "Bonjour."),
    Instruction("How do you say hello in Spanish?", says("hola"), "Hola!", "Adiós!"),
    Instruction("How do you say good morning in French?", says("bonjour"), "Bonjour.", "Bonsoir."),
    Instruction("Correct the spelling: recieve", says("receive"), "receive", "recieve"),
    Instruction(
        "Correct the sentence: She go to school every day.",
        says("goes"),
        "She goes to school every day.",
        "She go to school every day.",
    ),
    Instruction(
        "Rewrite in the past tense: I walk to the park.", says("walked"), "I walked to the park.", "I walk to the park."
    ),
    Instruction(
        "Rewrite as a question: You like tea.", matches(r".*\byou\b.*\?.*"), "Do you like tea?", "You like tea."
    ),
    Instruction(
        "Make this sentence negative: The door is open.",
        says("not", "isn't", "closed"),
        "The door is not open.",
        "The door is open.",
    ),
    Instruction(
        "Complete the sentence with one word: The sun rises in the", says("east", "morning", "sky"), "east", "west"
    ),
)

FORM: Final = (
    Instruction("List three fruits.", items(3), "1. Apple\n2. Pear\n3. Plum", "1. Apple\n2. Pear"),
    Instruction("List five animals.", items(5), "- cat\n- dog\n- cow\n- hen\n- fox", "- cat\n- dog"),
    Instruction("Name four colours, one on each line.", items(4), "red\nblue\ngreen\nyellow", "red\nblue"),
    Instruction(
        "Give me two reasons to go for a walk, as a numbered list.",
        items(2),
        "1. Air\n2. Health",
        "1. Air\n2. Health\n3. Fun",
    ),
    Instruction(
        "Write a list of three things to pack for a trip to the beach.",
        items(3),
        "* towel\n* hat\n* book",
        "* towel\n* hat\n* book\n* ball",
    ),
    Instruction(
        "List the names of four European countries, as bullet points.",
        items(4),
        "- France\n- Italy\n- Spain\n- Poland",
        "- France",
    ),
    Instruction("Name three vegetables, separated by commas.", items(3), "carrot, leek, potato", "carrot"),
    Instruction(
        "Answer in one word: what colour is grass?", both(says("green"), words(1)), "Green.", "Grass is green."
    ),
    Instruction("Answer in one word: which animal barks?", both(says("dog", "dogs"), words(1)), "Dog", "A dog barks."),
    Instruction(
        "Answer with one word only: what do we breathe?",
        both(says("air", "oxygen"), words(1)),
        "Air.",
        "We breathe air.",
    ),
    Instruction("In one word, what is the colour of snow?", both(says("white"), words(1)), "White", "Snow is white."),
    Instruction(
        "Describe the sea in at most ten words.",
        words(10, 2),
        "Wide, blue and never still.",
        "The sea is a very large body of salt water that covers most of the Earth.",
    ),
    Instruction(
        "Write one sentence about a dog.",
        both(sentences(1), says("dog", "dogs")),
        "The dog sleeps.",
        "The dog sleeps. It dreams.",
    ),
    Instruction("Describe a cat in two sentences.", sentences(2), "A cat is soft. It purrs.", "A cat is soft."),
    Instruction(
        "Explain in one sentence what a library is.",
        sentences(1),
        "A library is a place that lends books.",
        "It lends books. It is quiet.",
    ),
    Instruction("Write the word hello in capital letters.", matches(r".*\bHELLO\b.*"), "HELLO", "hello"),
    Instruction(
        "Repeat after me: the cat sat on the mat",
        says("the cat sat on the mat"),
        "The cat sat on the mat.",
        "The cat sat.",
    ),
    Instruction("Say only the word banana.", matches(r"\W*[Bb]anana\W*"), "Banana", "The word is banana."),
    Instruction("Write the letters from A to E.", in_order("A", "B", "C", "D", "E"), "A, B, C, D, E", "A, C, B, E"),
    Instruction("Count from 1 to 5.", in_order("1", "2", "3", "4", "5"), "1, 2, 3, 4, 5", "1, 3, 2"),
    Instruction(
        "Sort these words alphabetically: pear, apple, lemon",
        in_order("apple", "lemon", "pear"),
        "apple, lemon, pear",
        "pear, apple, lemon",
    ),
    Instruction(
        "Put these numbers in order from small to large: 7, 2, 5", in_order("2", "5", "7"), "2, 5, 7", "7, 2, 5"
    ),
    Instruction(
        "Write a JSON object with the keys name and age.",
        json_with("name", "age"),
        '{"name": "Ann", "age": 3}',
        "name: Ann, age: 3",
    ),
    Instruction("Write a greeting for a birthday card.", says("birthday"), "Happy birthday!", "Merry Christmas!"),
    Instruction(
        "Write the title of a story about a dragon. Give only the title.",
        words(12),
        "The Last Dragon",
        "Once upon a time there was a dragon who lived in a cave far away.",
    ),
)

CLASSES: Final = (
    Instruction(
        "Is this review positive or negative? I loved this film.",
        both(says("positive"), lacks("negative")),
        "Positive.",
        "Negative.",
    ),
    Instruction(
        "Is this review positive or negative? The food was awful.",
        both(says("negative"), lacks("positive")),
        "Negative.",
        "Positive.",
    ),
    Instruction(
        "Is a whale a mammal or a fish?", both(says("mammal", "mammals"), lacks("a fish")), "A mammal.", "A fish."
    ),
    Instruction(
        "Which of these is a fruit: chair, banana, car?",
        both(says("banana"), lacks("chair", "car")),
        "Banana.",
        "Chair.",
    ),
    Instruction("Which word does not belong: red, blue, dog, green?", both(says("dog"), lacks("red")), "Dog.", "Red."),
    Instruction("What colour do you get by mixing blue and yellow?", says("green"), "Green.", "Purple."),
    Instruction("Read: Tom has a red ball. What colour is the ball?", says("red"), "Red.", "Blue."),
    Instruction("Read: Anna lives in Rome with her cat. Where does Anna live?", says("Rome"), "In Rome.", "In Paris."),
    Instruction(
        "Read: The meeting is on Friday at noon. On which day is the meeting?",
        says("Friday"),
        "On Friday.",
        "On Monday.",
    ),
    Instruction("Who is speaking in this sentence: Ben said that he was tired?", says("Ben"), "Ben.", "Tom."),
    Instruction("Which word in this sentence is a colour: The green car is fast?", says("green"), "green", "fast"),
)

INSTRUCTIONS: Final = (*FACTS, *NUMBERS, *YES_OR_NO, *LANGUAGE, *FORM, *CLASSES)
"""All instructions, in the order in which they are asked."""
